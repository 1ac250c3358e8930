-- Conditions and orders of lists of variables.

-- predicate: id.any_
variable.id = ANY (%(variables.id.any_)s::uuid[])

-- predicate: name.any_
variable.name = ANY (%(variables.name.any_)s::text[])

-- predicate: name.like_
variable.name ILIKE '%' || %(variables.name.like_)s::text || '%'

-- predicate: tags.all_
variable.tags ?& %(variables.tags.all_)s::text[]

-- predicate: tags.is_null_
(variable.tags = '[]') = %(variables.tags.is_null_)s::boolean

-- sort: CREATED_DESC
variable.created DESC, variable.id DESC

-- sort: UPDATED_DESC
variable.updated DESC, variable.id DESC

-- sort: NAME_DESC
variable.name DESC

-- sort: NAME_ASC
variable.name ASC
