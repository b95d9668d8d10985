-- The receiver's last statistics, as the JSON that the API shows.
ALTER TABLE streams ADD COLUMN receiver_stats TEXT;
