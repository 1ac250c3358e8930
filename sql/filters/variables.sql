-- Conditions and orders of lists of variables.

-- table: variable
-- view: variable

-- column: id    uuid  any_
-- column: name  text  any_ like_
-- column: tags  tags  all_ is_null_

-- sort: CREATED_DESC BY variable.created, variable.id
-- sort: UPDATED_DESC BY variable.updated, variable.id
-- sort: NAME_DESC NAME_ASC BY variable.name
