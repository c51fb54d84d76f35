-- Reports in quarantine go by the time of their receipt.
CREATE INDEX quarantine_by_time ON quarantine (received_at);
