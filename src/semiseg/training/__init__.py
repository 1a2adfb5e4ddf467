"""The loop on Fabric, optimisers and schedules, checkpoints, logs, the run's folder."""
