-- Ids of requests rise with time, names of users do not: new rows go to the end of the index.
ALTER TABLE audit.origins DROP CONSTRAINT origins_pkey,
    ADD PRIMARY KEY (tenant, request_id, actor);
