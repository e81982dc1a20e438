/*---
title = "Returns"
description = "Which products come back: pieces and value returned in the period, and the rate against what was sold in it."
section = "Sales"
grain = "day"
key = ["product_id"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
limit = { type = "int", title = "Rows", default = 100, min = 1, max = 100000 }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
limit = 100000
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU" }
product = { type = "string", title = "Product" }
sold = { type = "int64", title = "Sold", unit = "pieces" }
returned = { type = "int64", title = "Returned", unit = "pieces", note = "On the day of the return, whenever it was sold." }
return_rate = { type = "float", title = "Return rate", unit = "%", note = "Returned by sold; empty where nothing was sold in the period." }
returned_value = { type = "money", title = "Value returned", note = "Net, as a positive amount." }
[chart]
kind = "bar"
x = "product"
y = "returned_value"
---*/
WITH by_product AS (
    SELECT product_id, MAX(sku) AS sku, MAX(product_name) AS product,
           SUM(CASE WHEN is_return THEN 0 ELSE quantity END) AS sold,
           SUM(CASE WHEN is_return THEN -quantity ELSE 0 END) AS returned,
           SUM(CASE WHEN is_return THEN -net_cents ELSE 0 END) AS returned_value
    FROM sales
    WHERE business_day BETWEEN $from AND $to
    GROUP BY product_id
)
SELECT product_id, sku, product, sold, returned, CASE WHEN sold > 0 THEN returned * 100.0 / sold END AS return_rate, returned_value
FROM by_product
WHERE returned > 0
ORDER BY returned_value DESC, product_id
LIMIT $limit
