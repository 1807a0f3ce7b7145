pytest_plugins = ["multilearn.testing"]
