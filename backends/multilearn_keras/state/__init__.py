"""What has state in a task, and what a step does to it."""
