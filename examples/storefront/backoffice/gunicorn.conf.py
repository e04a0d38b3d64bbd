"""Read by gunicorn because it lies in the folder where it starts."""

worker_class = "gthread"
threads = 4
# Longer than the shop's client keeps a connection: no request meets one that is just being closed.
keepalive = 75
# Newer versions would leave a socket in the home folder.
control_socket_disable = True
