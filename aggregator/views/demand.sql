/*---
title = "Demand"
description = "Pieces sold less returned, by day, product and the location that gave them: the store's own, or for online orders the first warehouse."
---*/
SELECT s.business_day AS business_day, s.product_id AS product_id, l.location_id AS location_id, s.quantity AS pieces
FROM sale_lines AS s
JOIN locations AS l ON l.store_id = s.store_id
WHERE s.status = 'completed'
UNION ALL
SELECT o.business_day AS business_day, o.product_id AS product_id, w.location_id AS location_id, o.quantity AS pieces
FROM order_lines AS o
CROSS JOIN (SELECT MIN(location_id) AS location_id FROM locations WHERE kind = 'warehouse') AS w
WHERE o.status NOT IN ('pending', 'cancelled')
UNION ALL
SELECT r.business_day AS business_day, r.product_id AS product_id, w.location_id AS location_id, r.quantity AS pieces
FROM refund_lines AS r
CROSS JOIN (SELECT MIN(location_id) AS location_id FROM locations WHERE kind = 'warehouse') AS w
WHERE r.status = 'completed' AND r.order_status NOT IN ('pending', 'cancelled')
