"""The grammar of visits in names: ``postop3mo``, ``6months``, ``week2``, ``D+10``, ``fu12m``, ``1st_visit``.

A moment is a chain of events (``postop``), numbered words (``visit2``) and times since an event (``3mo``,
``w12``). Words are English, German, French and Spanish.
"""

# Units of time. A letter alone is a unit only directly before or after its number.
LONG_UNITS = (
    "days?|weeks?|months?|years?|hours?|minutes?|tage?n?|wochen?|monate?n?|jahre?n?|stunden?|minuten"
    "|jours?|semaines?|mois|ans|heures?|d[ií]as?|semanas?|mes(?:es)?|años|horas?|minutos?"
)
UNITS = rf"{LONG_UNITS}|d|w|wks?|m|mo|mos|mths?|mon|mons|y|yrs?|h|hrs?|min|mins|an|año|j|jrs?|sem"
COUNT = r"[+]?\d+(?:[.,]\d+)?"
SPAN = rf"(?:{COUNT}(?:{UNITS})|\d+[_\-. ](?:{LONG_UNITS})|(?:{UNITS})[+\-]?\d+|(?:{LONG_UNITS})[_\-. ]?\d+)"

TREATMENT = (
    "op|operative?|operativo?|opératoire|operatoire|surgery|surgical|surg|treatment|therapy|therapie|tx|rx|rt|crt"
    "|radiotherapy|chemo|chemotherapy|nac|contrast|km|injection|inj|biopsy|transplant|intervention|dose|stroke"
)
EVENT = (
    rf"(?:pre|post|prä|prae|intra|peri|pré)(?:[_\-]?(?:{TREATMENT}))?|baseline|bl|follow[_\-]?ups?|fu|fup"
    r"|prior|current|before|after|initial|screening|discharge|admission|recurrence|relapse|vorher|nachher"
    r"|verlauf|nachsorge|aufnahmetag|entlassung|avant|apr[eè]s|antes|despu[eé]s|seguimiento|suivi"
)
ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|first|second|third|fourth)"
    r"(?:[_\-. ](?:visit|scan|exam|session|study|follow[_\-]?up|look|op|time|timepoint))?"
)
# Words that a number follows. The first need more than a letter, so that they may also precede the patient.
LONG_NUMBERED = (
    "tp|fu|timepoint|time|scan|rescan|exam|study|visit|session|ses|run|visite|untersuchung|aufnahme|aufn|besuch"
    "|termin|verlauf|sitzung|messung|studie|examen|consultation|s[ée]ance|suivi|estudio|visita|consulta"
    "|sesi[oó]n|seguimiento"
)
NUMBERED = (
    rf"t|v|{LONG_NUMBERED}|date|vid|video|vid[ée]o|clip|seq|sequence|s[ée]quence|cine|loop|acq|acquisition|fov"
    "|roi|field|crop|patch|region|pos|position|series|s|z|x|y|c|ch|row|col|serie|s[ée]rie|regi[oó]n|secuencia"
)

MOMENT = rf"(?:(?:(?:{EVENT})\d*|(?:{NUMBERED})\d+|{SPAN}){{1,4}}|{ORDINAL})"
# Before the patient, where m3 and d1 may be a mouse and a donor.
_FIRST = rf"(?:{EVENT})\d*|(?:{LONG_NUMBERED}|{LONG_UNITS})\d+|{COUNT}(?:{UNITS})"
MOMENT_FIRST = rf"(?:(?:{_FIRST}){{1,4}}|{ORDINAL})"
# Directly after a number: P01pre, 12postop3mo, P01day3.
MOMENT_GLUED = (
    rf"(?<=\d)(?:(?:(?:{EVENT})\d*|(?:{LONG_NUMBERED}|{LONG_UNITS})\d+)(?:{SPAN})?){{1,3}}"
)
