/*---
title = "Facts by day"
description = "One row per day and dataset with facts: how many there are."
keep = "day"
key = ["business_day", "dataset"]
---*/
SELECT business_day, 'sale_lines' AS dataset, COUNT(*) AS facts FROM sale_lines GROUP BY business_day
UNION ALL
SELECT business_day, 'order_lines' AS dataset, COUNT(*) AS facts FROM order_lines GROUP BY business_day
UNION ALL
SELECT business_day, 'refund_lines' AS dataset, COUNT(*) AS facts FROM refund_lines GROUP BY business_day
UNION ALL
SELECT business_day, 'orders' AS dataset, COUNT(*) AS facts FROM orders GROUP BY business_day
UNION ALL
SELECT business_day, 'stock_movements' AS dataset, COUNT(*) AS facts FROM stock_movements GROUP BY business_day
