"""What the command line does with whole experiments: run one on several backends, compare runs, look into them."""
