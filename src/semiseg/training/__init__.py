"""The training loop on Fabric, optimisers, schedules, checkpoints, logs and run folders."""
