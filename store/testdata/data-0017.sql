INSERT INTO sign_ins (hour, outcome, sign_ins) VALUES (490923, 'success', 3);
