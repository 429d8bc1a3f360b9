-- Rows as a file of version 1 has them, for the test of the upgrade.
insert into meta values ('next_seq', '12');
insert into series values (1, 'meter', 'power', 'W', 'gauge');
insert into reading values (7, 1, 1790000000000, null, 1, 1.5, 0, null);
insert into reading values (9, 1, 1790000060000, null, 1, 2.5, 0, null);
insert into event values (1, 'gate', 1790000000000, null, 1, 0, 'credential', 'moment', null, '17', 'card', 'gate', 'in', 'granted', null);
insert into link values ('meter', 1, null, 1790000000000);
insert into alarm values (1, 'r', 'meter', 'energy', 'high', 'meter', null, '高', 'high', 1790000000000, 1, 1, null, null, null, null, 0, null, null, null, null);
insert into alarm_change values (1, 1, 'raised', 1790000000000, 'gateway', '');
insert into roll_up values (1, 1789999200000, 900, 1, 1.5, 1.5, 1.5, 1.5, null, 0);
insert into outbox values (11, 'city', 1, 'gw:11', 1790000000000, '{}');
insert into set_aside values (10, 'city', 'gw:10', 1790000000000, '{}', 'no such point', 1790000000000);
insert into quarantine values (1, 1790000000000, 'bus', null, 't', 'not_json', 'not JSON', x'7b', 1);
insert into stranger values ('bus', 't', 1790000000000, 1790000000000, 1);
insert into fingerprint values ('bus', 1, 1, 5, 1790000000000);
