"""What Python programs inside a CUDA spoof find first on PYTHONPATH; copied there, not imported."""
