"""What all outputs share in delivering data: connections, proxies, trusted certificates, and the words for errors."""
