"""Shapes that SQL injections have and prose has not.

An injection ends the value it sits in with a quote or a semicolon and goes on as SQL that a
database would accept. So the patterns follow the grammar: a verb alone is prose ("I can't select;
drop me a line"), a verb with its object and a proper end is a statement. Names that are English
determiners are no names of tables. Families after OWASP, "SQL Injection Prevention" and
"Testing for SQL Injection" (WSTG-INPV-05); dialects: PostgreSQL, MySQL, SQL Server, Oracle, SQLite.

All patterns expect lower-case text with straight quotes and single spaces. Repetitions are bounded
or possessive, and each run of quotes is looked at once, so that time stays linear.
"""

import re
from collections.abc import Iterator

__all__ = ["injected"]

_WORDS = (
    "a|all|an|and|another|any|are|as|at|be|both|by|each|every|everything|for|from|has|her|here|his|"
    "i|in|is|it|its|me|my|no|of|on|one|or|our|out|some|something|that|the|their|them|there|these|"
    "this|those|to|up|us|was|what|when|which|will|with|you|your"
)
_PART = r"(?:\[[^\]\n]{1,64}\]|[\"`]\w{1,64}[\"`]|[a-z_@#][\w$@#]{0,63})"
_NAME = rf"(?!(?:{_WORDS})\b){_PART}(?:\s?\.\s?{_PART}){{0,3}}"
_STRONG_END = r"\s*+(?:;|--|/\*|\#|['\"`])"
_END = rf"(?:{_STRONG_END}|\s*+\)|\s*+\Z|\s+(?:go|select|insert|update|delete|exec|drop)\b)"
_COMPARES = r"(?:[<>]=?|!=|<>|=|\blike\s+['\"]|\bin\s*\(|\bis\s+(?:not\s+)?null\b|\bbetween\s+\S)"
_CONDITION = rf"where\s+[\w.'\"()@\s]{{1,80}}?{_COMPARES}"
_LITERAL = r"(?:-?\d+|null|'[^']{0,40}'|\"[^\"]{0,40}\"|@@\w+)"

# What the list of a SELECT begins with when it is one.
_CALL = (
    r"(?:(?:count|sum|min|max|avg)\s?\(\s*(?:\*|distinct\b|\d)|"
    r"(?:concat(?:_ws)?|group_concat|string_agg|sleep|pg_sleep|benchmark|load_file|char|chr|nchar|"
    r"ascii|substr(?:ing)?|mid|length|cast|convert|unhex|hex|coalesce|ifnull|iif|if|md5|"
    r"extractvalue|updatexml|pg_read_file|pg_ls_dir|lo_import|lo_export|load_extension|"
    r"database|version|query_to_xml|utl_\w+\.\w+|dbms_\w+\.\w+|xp_\w+)\s?\()"
)
_COLUMNS = rf"{_NAME}(?:\s+as\s+\w+)?(?:\s*,\s*{_NAME}){{0,20}}\s+from\s+{_NAME}"
_AFTER_FROM = (
    rf"(?:{_STRONG_END}|\s*\)|\s+(?:limit\s+\d|(?:order|group)\s+by\b|union\b|having\b|"
    rf"(?:inner\s+|left\s+|right\s+|cross\s+)?join\s|into\s+(?:out|dump)file)|"
    rf"(?:\s+(?:as\s+)?\w+)?\s+{_CONDITION})"
)
_SELECTED = (
    rf"(?:\*\s*(?:,|from\b|{_STRONG_END})|@@\w|case\s+when\b|{_CALL}|\w{{1,40}}\(\s*\)|"
    rf"{_LITERAL}(?:\s*,\s*(?:{_LITERAL}|{_NAME})){{0,60}}"
    rf"(?:{_STRONG_END}|\s+from\s+{_NAME}(?:{_AFTER_FROM}|\s*\Z))|"
    rf"{_NAME}\s*,\s*(?:{_LITERAL}|{_CALL})|{_COLUMNS}{_AFTER_FROM})"
)
_SELECT = rf"select\s*(?:(?:all|distinct|top\s+\d+)\s+)?\s*\(?{_SELECTED}"
_PLAIN_SELECT = rf"select\s+(?:distinct\s+)?{_COLUMNS}\s*\Z"

_IF_EXISTS = r"(?:if\s+(?:not\s+)?exists\s+)?"
_DROPPED = (
    "table|database|schema|(?:materialized\\s+)?view|index|user|role|login|proc(?:edure)?|function|"
    "trigger|sequence|column|type|extension|tablespace|constraint"
)
_PRIVILEGE = (
    "all(?:\\s+privileges)?|select|insert|update|delete|execute|usage|create|alter|drop|file|super|"
    "connect|dba|sysdba|resource"
)
_STATEMENTS = (
    _SELECT,
    r"with\s+(?:recursive\s+)?\w+\s*(?:\([\w\s,]{1,80}\)\s*)?as\s*\(\s*select\b",
    rf"drop\s+(?:{_DROPPED})\s+{_IF_EXISTS}{_NAME}(?:\s*,\s*{_NAME}){{0,9}}"
    rf"(?:\s+(?:cascade|restrict)\b|{_END})",
    rf"truncate\s+(?:table\s+{_NAME}(?:\s+cascade)?{_END}|{_NAME}{_STRONG_END})",
    rf"delete\s+from\s+(?:only\s+)?{_NAME}(?:{_END}|\s+(?:(?:as\s+)?\w+\s+)?"
    rf"(?:{_CONDITION}|using\s+{_NAME}|returning\s))",
    rf"(?:insert\s+(?:(?:ignore|delayed|low_priority|or\s+\w+)\s+)?|replace\s+)into\s+{_NAME}\s*"
    rf"(?:(?:\([^()]{{1,300}}\)\s*)?(?:values\b|select\b|default\s+values)|set\s+\w+\s*=)",
    rf"update\s+(?:(?:only|ignore|low_priority)\s+)?{_NAME}(?:\s+(?:as\s+)?\w+)?\s+set\s+"
    rf"{_NAME}\s*[-+|]?=",
    rf"merge\s+(?:into\s+)?{_NAME}\s+(?:(?:as\s+)?\w+\s+)?using\s",
    rf"alter\s+(?:table|user|role|database|login|system|server|schema)\s+{_IF_EXISTS}"
    rf"(?:{_NAME}\s+)?(?:add|drop|set|modify|rename|alter|owner|with|identified|enable|disable|"
    rf"change|password|superuser|createdb)\b",
    rf"create\s+(?:or\s+replace\s+)?(?:(?:temp|temporary|global|unlogged|unique|virtual)\s+)?"
    rf"(?:table\s+{_IF_EXISTS}{_NAME}\s*(?:\(|as\s+select|like\s|using\s)|"
    rf"(?:user|role|login)\s+{_IF_EXISTS}(?:{_NAME}|'\w+'(?:@'\S+?')?)\s*(?:identified\s|"
    rf"(?:with\s+)?(?:password|superuser|login)\b|for\s+login|without\s+login|{_STRONG_END})|"
    rf"(?:database|schema|extension)\s+{_IF_EXISTS}{_NAME}{_END}|"
    rf"(?:function|proc|procedure)\s+{_NAME}\s*(?:\(|as\b|@)|view\s+{_NAME}\s+as\s+select\b|"
    rf"trigger\s+{_NAME}\s+(?:before|after|instead)\s|index\s+{_NAME}\s+on\s+{_NAME}\s*\()",
    rf"grant\s+(?:{_PRIVILEGE})(?:\s*,\s*\w+){{0,9}}\s+(?:on\s+[\w.*\s]{{1,80}}?to|to)\s+\S",
    rf"revoke\s+(?:{_PRIVILEGE})(?:\s*,\s*\w+){{0,9}}\s+on\s+[\w.*\s]{{1,80}}?from\s+\S",
    r"exec(?:ute)?\s+(?:immediate\b|@\w|(?:master|sys|msdb)\s?\.|(?:xp|sp)_\w)",
    r"exec(?:ute)?\s*\(\s*(?:'|@\w)",
    r"waitfor\s+(?:delay|time)\s*['\"]",
    rf"shutdown(?:\s+with\s+nowait|{_STRONG_END})",
    r"declare\s+@\w",
    r"set\s+(?:(?:global|session)\s+\w+\s*=|@\w+\s*=)",
    r"copy\s+[\w.()\s,]{1,200}?\b(?:from|to)\s+(?:program\b|stdin\b|stdout\b|')",
    r"load\s+data\s+(?:local\s+)?infile\b",
    r"bulk\s+insert\s+\w",
    rf"backup\s+(?:database|log)\s+{_NAME}\s+to\b",
    r"attach\s+(?:database\s+)?['\"]",
    rf"rename\s+table\s+{_NAME}\s+to\s",
    r"do\s+(?:\$\w*\$|sleep\s*\()",
    r"(?:begin\s+)?(?:call\s+)?(?:dbms|utl|xp|sp)_\w+",
    r"if\s*\(?\s*(?:\d+\s*=\s*\d+|exists\s*\(\s*select|\(?\s*select)",
)
_STATEMENT = re.compile(r"(?:begin\s+)?(?:" + "|".join(_STATEMENTS) + ")")

# What keeps the condition of the statement around the value going.
_SAME = r"(?=['\"\w])(?P<quote>['\"]?)(?P<value>[\w%.-]{0,40})(?P=quote)"
_OPERATOR = r"\s*(?:<=>|=|<>|!=|>=|<=|>|<|\bnot\s+like\b|\blike\b|\brlike\b|\bregexp\b)\s*"
_TAUTOLOGY = (
    rf"(?:{_SAME}[\s)]*(?:=|<=>|>=|<=|\blike\b|\bin\s*\()[\s(]*['\"]?(?P=value)(?!\w)|"
    rf"-?\d+(?:\.\d+)?\)?{_OPERATOR}\(?-?\d|"
    rf"n?['\"][^'\"\n]{{0,40}}['\"]{_OPERATOR}n?['\"]|"
    r"-?\d+\s+(?:not\s+)?(?:between\s+-?\d|in\s*\(\s*-?\d)|"
    r"'[^'\n]{0,40}'\s+(?:between\s+'|in\s*\(\s*')|"
    r"(?:true|false|!?~?-?\d+)\)*\s*;?\s*(?:--|\#\s*\Z|/\*)|"
    r"[\w.]{1,64}\s+is\s+(?:not\s+)?null\s*(?:;?\s*--|\#\s*\Z|or\s+[\w.]{1,64}\s*=\s*'\s*\Z)|"
    r"[\w.]{1,64}\s*(?:=|\blike\b)\s*'[^']{0,40}(?:\Z|'?\s*(?:--[\s+-]*|\#\s*)\Z)|"
    r"not\s+exists\s*\(|exists\s*\(\s*select\b)"
)
_DEEPER = rf"(?:{_SELECT}|(?:if\s*\(|case\s+when\b|{_CALL}))"
_CONNECTED = r"(?:or|and|xor|having|where|rlike|\|\||&&)(?![a-z])[\s(+]*(?:not\b[\s(]*)?"
_CONTINUATION = re.compile(
    rf"(?:{_CONNECTED}(?:{_TAUTOLOGY}|{_DEEPER})|"
    rf"(?:\|\||[-+*/%,=<>^&|]|\bin\b|\blike\b)[\s(']*(?:(?<=\(){_SELECT}|(?:pg_)?sleep\s*\(|"
    r"benchmark\s*\(|load_file\s*\(|extractvalue\s*\(|updatexml\s*\()|"
    r"(?:order|group)\s+by\s+\d+(?:\s*,\s*\d+)*\s*(?:--|\#|/\*|\Z|\))|"
    r"group\s+by\s+[\w.,\s]{1,60}?\bhaving\b|limit\s+\d+\s*(?:,\s*\d+\s*)?(?:--|\#|procedure|into)|"
    rf"procedure\s+analyse\s*\(|into\s+(?:out|dump)file\b|{_PLAIN_SELECT})"
)

_ALL = r"[\s(]*(?:(?:all|distinct)\b[\s(]*)?"
_UNION = re.compile(
    rf"\bunion\b{_ALL}(?:{_SELECT}|select\s+{_LITERAL}\s*,|select\s*\(\s*{_LITERAL}\s*\))|"
    rf"(?:(?<=['\"\d)])|(?<=['\"\d)]\s))union\b{_ALL}{_PLAIN_SELECT}"
)
_DELAY = re.compile(r"\bwaitfor\s+delay\s*'")
_TO_FILE = re.compile(r"\binto\s+(?:out|dump)file\s*['\"]")
_NUMERIC = re.compile(r"\A\s*+(?:-?\d+\)*\s+)?(?:or|and)\s+(?P<number>\d+)\s*=\s*(?P=number)(?!\w)")
_TRAILING_COMMENT = re.compile(
    r"(?:(?:['\"`][\s)]*;?|\w\)*;)\s*(?:--[\s+-]*|/\*[\s*]*)|['\"`]\s*\)?\s*\#)\Z"
)
_CLOSING_QUOTE_AND_COMMENT = re.compile(
    r"\A(?:[^'\"]++|(?<=\w)'(?=\w))*+['\"][\s)]*+;\s*+(?:--|\#|/\*)"
)

# Everything up to the next run of quotes and semicolons after which SQL might go on.
_RUN_CLASS = r"[\s'\"`;()]*+"
_GOES_ON = (
    r"(?:(?:select|with|drop|truncate|delete|insert|replace|update|merge|alter|create|grant|revoke|"
    r"exec|execute|waitfor|shutdown|declare|set|copy|load|bulk|backup|attach|rename|do|begin|call|"
    r"if|or|and|xor|having|where|rlike|order|group|limit|procedure|into)\b|(?:dbms|utl|xp|sp)_|"
    r"\|\||&&|(?:[-+*/%,=<>^&|]|in\b|like\b)[\s('\"]*+"
    r"(?:select|(?:pg_)?sleep|benchmark|load_file|extractvalue|updatexml)\b)"
)
_NEXT_RUN = re.compile(
    rf"(?:[^'\"`;]++|['\"`;]{_RUN_CLASS}(?!{_GOES_ON}))*+(?P<run>['\"`;]{_RUN_CLASS})"
)
_LONGEST_STATEMENT = 2_000
_QUOTE = re.compile(r"['\"`]")
_OPENING_QUOTES = frozenset(quote * times for quote in "'\"`" for times in (1, 3))
_STRING_PREFIX = re.compile(r"\b[bfru]{1,2}\Z")  # of string literals: f"…", r'…'
_SCRIPT_HEAD = re.compile(
    r"(?:\A|\n)\s*(?:select|insert|update|delete|create|alter|drop|with|set|grant|truncate|begin|"
    r"commit|use|explain|analyze)\b"
)
_GAP = re.compile(r"\s{2,}+")
_LINE_COMMENT = re.compile(r"--[^\n]*+\n")


def injected(text: str) -> bool:
    """Whether text (in lower case, with straight quotes) has the shape of an SQL injection."""
    return any(_injected(reading) for reading in _readings(text))


def _injected(text: str) -> bool:
    return (
        _continues(text)
        or ("union" in text and _UNION.search(text) is not None)
        or ("waitfor" in text and _DELAY.search(text) is not None)
        or ("file" in text and _TO_FILE.search(text) is not None)
        or ("=" in text and _NUMERIC.search(text) is not None)
        or _comments_out_the_rest(text)
    )


def _comments_out_the_rest(text: str) -> bool:
    end = text.rstrip()[-64:]
    if end[-1:] in ("-", "+", "#", "*") and _TRAILING_COMMENT.search(end):
        return True
    return ";" in text and _CLOSING_QUOTE_AND_COMMENT.match(text) is not None


def _continues(text: str) -> bool:
    """Whether SQL follows one of the runs of quotes, semicolons and parentheses."""
    position = 0
    while run := _NEXT_RUN.match(text, position):
        start, position = run.span("run")
        quoted = _QUOTE.search(text, start, position) is not None
        if (
            _STATEMENT.match(text, position)
            and not _is_quotation(text, start, position)
            and not _in_script(text, start, position)
        ):
            return True
        if (quoted or text[start - 1 : start].isdigit()) and _CONTINUATION.match(text, position):
            return True
    return False


def _is_quotation(text: str, start: int, end: int) -> bool:
    """Whether a quotation opens here: the button "Delete from cart"; run("SELECT * FROM x")."""
    quote = text[start:end].rstrip()
    before = _STRING_PREFIX.sub("", text[max(start - 3, 0) : start])
    return quote in _OPENING_QUOTES and not before[-1:].isalnum() and text.find(quote, end) >= 0


def _in_script(text: str, start: int, end: int) -> bool:
    """Whether a statement of a script ends here: whole statements, one a line, quotes in pairs.

    An injection cannot look so, as it starts inside the value of another statement.
    """
    if text.find("\n", start, end) < 0:
        return False
    semicolon = text.find(";", start, end)
    finish = semicolon if semicolon >= 0 else start + 1
    earliest = max(finish - _LONGEST_STATEMENT, 0)
    statement = text[max(text.rfind(";", earliest, finish) + 1, earliest) : finish]
    return _SCRIPT_HEAD.search(statement) is not None and statement.count("'") % 2 == 0


def _readings(text: str) -> Iterator[str]:
    """The text with and without SQL comments: an attack may use them as spaces or sit in them."""
    yield _single_spaced(text)
    if "/*" in text:
        yield _single_spaced(_without_block_comments(text))
    if "--" in text and "\n" in text:
        yield _single_spaced(_LINE_COMMENT.sub(" ", text))


def _single_spaced(text: str) -> str:
    return _GAP.sub(lambda gap: "\n" if "\n" in gap[0] else " ", text)


def _without_block_comments(text: str) -> str:
    """Comments become spaces; what MySQL runs in /*!50000 … */ stays."""
    pieces: list[str] = []
    position = 0
    while (start := text.find("/*", position)) >= 0:
        end = text.find("*/", start + 2)
        if end < 0:
            break
        comment = text[start + 2 : end]
        pieces += text[position:start], " "
        if comment.startswith("!"):
            pieces += comment[1:].lstrip("0123456789"), " "
        position = end + 2
    return "".join([*pieces, text[position:]])
