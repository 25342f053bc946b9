DROP INDEX device_grants_user_code ON device_grants;
