"""Where a run tells its scores besides its own files: TensorBoard, Weights & Biases, MLflow, Trackio."""
