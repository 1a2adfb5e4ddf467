"""From networks and a volume to masks on the volume's own grid."""
