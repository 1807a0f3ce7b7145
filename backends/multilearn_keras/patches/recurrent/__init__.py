"""LSTM and GRU on the CPU as one operation over all steps."""
