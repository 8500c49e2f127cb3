"""Works that need a whole mesh (`hark up`): added as they can run."""
MESH_WORKS = []
