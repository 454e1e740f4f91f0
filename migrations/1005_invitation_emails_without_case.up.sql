-- In ASCII, as with slugs: in the server's locale another address might come out.
UPDATE invitation SET email = lower(email COLLATE "C") WHERE email <> lower(email COLLATE "C");
