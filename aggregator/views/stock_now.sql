/*---
title = "Stock now"
description = "What is on hand of each product at each location, with names, prices and costs as they are today."
[measures]
location = "The location's code."
location_name = "Of the location now."
product_id = "The product's number."
sku = "Of the product now."
product = "Of the product now."
category = "Of the product now; no text where it has none."
reorder_point = "Of the product now, the same at each location."
---*/
SELECT k.product_id AS product_id, p.sku AS sku, p.name AS product, c.name AS category, k.location_id AS location_id,
       l.code AS location, l.name AS location_name, l.kind AS location_kind, k.on_hand AS on_hand, p.reorder_point AS reorder_point,
       p.unit_cost_cents AS unit_cost_cents, p.unit_price_cents AS unit_price_cents, p.active AS active
FROM stock AS k
JOIN products AS p ON p.product_id = k.product_id
JOIN locations AS l ON l.location_id = k.location_id
LEFT JOIN categories AS c ON c.category_id = p.category_id
