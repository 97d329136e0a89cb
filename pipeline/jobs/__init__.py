"""What stages do, and names that several of them know."""

SHARED_FOLDER = "PIPELINE_SHARE"  # the variable by which a stage that shares its work tells its processes where
LOCK = "lock"  # the file in a training's folder of checkpoints that its process holds
LEARNT = "learnt"  # the file that marks the checkpoints of a training that has ended
