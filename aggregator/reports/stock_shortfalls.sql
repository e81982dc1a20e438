/*---
title = "Shortfalls"
description = "What was sold although stock had none of it: a till that was offline tells its sales later, and the pieces that the books did not have are booked as an adjustment. A row for each document, location and product, also of a sale voided since; no rows: everything sold was there. Order: day, location, reference, product no."
section = "Stock"
grain = "day"
key = ["day", "location", "reference", "product_id"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
day = { type = "date", title = "Day", note = "The business day of the sale, where it happened." }
location = { type = "string", title = "Location", note = "The location's code; empty for one that Inventory does not tell of." }
reference = { type = "string", title = "Reference", note = "Of the adjustment: shortfall- and the reference of the sale." }
product_id = { type = "int64", title = "Product no.", note = "Inventory's number." }
sku = { type = "string", title = "SKU", note = "Of the product; empty for one that Inventory does not tell of." }
product = { type = "string", title = "Product", note = "As Inventory names it when the figures are computed; empty for one that it does not tell of.", label = true }
pieces = { type = "int64", title = "Pieces", unit = "pieces", note = "Booked in, because they had left already." }
[chart]
kind = "bar"
x = "product"
y = "pieces"
---*/
WITH booked AS (
    SELECT business_day, location_id, reference, product_id, SUM(quantity) AS pieces
    FROM stock_movements
    WHERE reason = 'adjustment' AND reference LIKE 'shortfall-%' AND business_day BETWEEN $from AND $to
    GROUP BY business_day, location_id, reference, product_id
)
SELECT b.business_day AS day, l.code AS location, b.reference AS reference, b.product_id AS product_id, p.sku AS sku,
       p.name AS product, b.pieces AS pieces
FROM booked AS b
LEFT JOIN locations AS l ON l.location_id = b.location_id
LEFT JOIN products AS p ON p.product_id = b.product_id
WHERE b.pieces <> 0
ORDER BY day, location, reference, product_id
