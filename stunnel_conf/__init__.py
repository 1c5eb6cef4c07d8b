"""Links: whose programs a site reaches, by stunnel, and who may reach its own."""
