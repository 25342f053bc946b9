UPDATE organizations SET factor_required = 1 WHERE id = '0190a000-0000-7000-8000-000000000011';
