"""What stages do, and the name of the variable by which one that shares its work tells its processes where."""

SHARED_FOLDER = "PIPELINE_SHARE"
