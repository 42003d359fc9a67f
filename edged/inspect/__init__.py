"""What a flow is, by its first packets: a traffic class and a host name, for captures and for the live queue alike."""
