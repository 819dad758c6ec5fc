"""A stand-in named ``llama-server`` that writes down what an application asks of it."""
