/*---
title = "Price overrides"
description = "Lines that a till sold at another price than the list's: what was charged is what counts everywhere, and here the list price stands beside it. A row for each such line of a completed sale, whether or not it came back since; no rows: everything was sold at its list price. Order: day, store, sold at, ticket, line."
section = "Sales"
grain = "day"
key = ["day", "store", "ticket", "line"]
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
day = { type = "date", title = "Day", note = "The business day of the sale, in the store's zone." }
store = { type = "string", title = "Store", note = "The store's code; empty for a store that Retail does not tell of." }
register = { type = "int32", title = "Register", note = "Number of the register; empty where Retail does not tell of it." }
ticket = { type = "string", title = "Ticket", note = "Number of the receipt." }
line = { type = "int32", title = "Line", note = "Number of the line on the ticket." }
sold_at = { type = "timestamp", title = "Sold at", note = "The moment of the sale." }
product_id = { type = "int64", title = "Product no.", note = "Inventory's number." }
sku = { type = "string", title = "SKU", note = "As frozen on the line; empty where it has none." }
product = { type = "string", title = "Product", note = "As frozen on the line; empty where it has none." }
quantity = { type = "int64", title = "Quantity", unit = "pieces", note = "Of the line." }
list_price = { type = "money", title = "List price", note = "Of one piece, at Inventory when the sale was told." }
charged_price = { type = "money", title = "Charged", note = "For one piece, before discounts." }
difference = { type = "money", title = "Difference", note = "Charged less list price, for one piece." }
effect = { type = "money", title = "Effect", note = "The difference for all pieces of the line: what the override added to net revenue, or took from it, on the day of the sale; returns are not deducted." }
[chart]
kind = "bar"
x = "store"
y = "effect"
---*/
SELECT l.business_day AS day, s.code AS store, r.number AS register, l.receipt_number AS ticket, l.line_no AS line,
       l.occurred_at AS sold_at, l.product_id AS product_id, l.sku AS sku, l.product_name AS product, l.quantity AS quantity,
       l.list_price_cents AS list_price, l.unit_price_cents AS charged_price,
       l.unit_price_cents - l.list_price_cents AS difference,
       l.quantity * (l.unit_price_cents - l.list_price_cents) AS effect
FROM sale_lines AS l
LEFT JOIN stores AS s ON s.store_id = l.store_id
LEFT JOIN registers AS r ON r.register_id = l.register_id
WHERE l.business_day BETWEEN $from AND $to AND l.status = 'completed' AND l.list_price_cents IS NOT NULL
ORDER BY day, store, sold_at, ticket, line
