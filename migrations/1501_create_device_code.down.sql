DROP TABLE IF EXISTS device_code;
