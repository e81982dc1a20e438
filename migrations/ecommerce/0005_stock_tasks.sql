-- The table of what is owed to Inventory has one shape in every service that takes stock, because one piece of code
-- keeps it (kit::settle). It names its document by `document_id`, whatever the document is.
ALTER TABLE stock_tasks RENAME COLUMN order_id TO document_id;
