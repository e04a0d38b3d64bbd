"""Reading back what Jaeger, Prometheus, Bugsink and the Collector hold of the traffic, number by number."""
