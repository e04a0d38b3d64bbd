"""The KPI system: records that are refined, figures that are analysed, events that are pushed, and a door with a key."""
