/*---
title = "Returns"
description = "Which products come back: pieces and value returned in the period, the rate against what was sold in it, and the value against the period before and the same weekdays a year ago."
section = "Sales"
grain = "day"
inherits = "sales"
key = ["product_id"]
[params]
limit = { type = "int", title = "Rows", default = 100, min = 1, max = 100000 }
[publish]
limit = 100000
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU" }
product = { type = "string", title = "Product" }
sold = { type = "int64", title = "Sold", unit = "pieces" }
returned = { type = "int64", title = "Returned", unit = "pieces", note = "On the day of the return, whenever it was sold." }
return_rate = { type = "float", title = "Return rate", unit = "%", note = "Returned by sold; empty where nothing was sold in the period." }
returned_value = { type = "money", title = "Value returned", note = "Net, as a positive amount." }
previous_value = { type = "money", title = "Value returned before", note = "In as many days just before the period." }
change = { note = "Value returned against that of the period before; empty where there was none." }
year_ago_value = { type = "money", title = "Value returned a year ago", note = "On the same weekdays, 364 days earlier." }
year_change = { note = "Value returned against that of a year ago; empty where there was none." }
[chart]
kind = "bar"
x = "product"
y = "returned_value"
---*/
WITH lines AS (
    SELECT product_id, sku, product_name, is_return, quantity, net_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM sales
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_product AS (
    SELECT product_id, MAX(sku) AS sku, MAX(product_name) AS product,
           SUM(CASE WHEN is_now AND NOT is_return THEN quantity ELSE 0 END) AS sold,
           SUM(CASE WHEN is_now AND is_return THEN -quantity ELSE 0 END) AS returned,
           SUM(CASE WHEN is_now AND is_return THEN -net_cents ELSE 0 END) AS returned_value,
           SUM(CASE WHEN is_before AND is_return THEN -net_cents ELSE 0 END) AS previous_value,
           SUM(CASE WHEN is_year_ago AND is_return THEN -net_cents ELSE 0 END) AS year_ago_value
    FROM lines
    GROUP BY product_id
)
SELECT product_id, sku, product, sold, returned, CASE WHEN sold > 0 THEN returned * 100.0 / sold END AS return_rate, returned_value,
       previous_value,
       CASE WHEN previous_value > 0 THEN (returned_value - previous_value) * 100.0 / previous_value END AS change,
       year_ago_value,
       CASE WHEN year_ago_value > 0 THEN (returned_value - year_ago_value) * 100.0 / year_ago_value END AS year_change
FROM by_product
WHERE returned > 0
ORDER BY returned_value DESC, product_id
LIMIT $limit
