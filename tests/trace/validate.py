#!/usr/bin/python3
"""validate.py SCHEMA FILE...: each FILE is a document (x.json) or a line-by-line archive (x.jsonl) that the schema allows."""
import json
import sys

import jsonschema


def documents(path):
    with open(path, encoding="utf-8") as file:
        if path.endswith(".jsonl"):
            return [json.loads(line) for line in file]
        return [json.load(file)]


def line_validator(schema):
    """In a .jsonl every line is a header, an event or a footer: the schema's definitions, chosen by what is there."""
    defs = schema.get("$defs", {})
    choices = [{"$ref": "#/$defs/" + name} for name in ("header", "event", "footer") if name in defs]
    if len(choices) != 3:
        sys.exit("the schema lacks $defs header, event, footer")
    return jsonschema.Draft202012Validator({"$defs": defs, "anyOf": choices})


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    whole = jsonschema.Draft202012Validator(schema)
    for path in sys.argv[2:]:
        validator = line_validator(schema) if path.endswith(".jsonl") else whole
        for number, document in enumerate(documents(path), 1):
            error = jsonschema.exceptions.best_match(validator.iter_errors(document))
            if error:
                sys.exit("%s:%d: at %s: %s" % (path, number, error.json_path, error.message[:500]))


main()
