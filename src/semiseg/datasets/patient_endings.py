"""What may follow (or precede) the patient in the name of an image: visits, views, days, numbers of images.

Words are English, German, French and Spanish.
"""

import re

from semiseg.datasets.base import ENDINGS
from semiseg.datasets.visit_words import MOMENT, MOMENT_FIRST, MOMENT_GLUED, NUMBERED

DATE = r"(?:(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|(?:19|20)\d\d[\-.]\d\d[\-.]\d\d"
DATE += r"|(?:0[1-9]|[12]\d|3[01])[\-.](?:0[1-9]|1[0-2])[\-.](?:19|20)\d\d)"
TIME = r"(?:[T_\- ]?\d\d[\-.:]?\d\d(?:[\-.:]?\d\d)?)"
PLAIN = (
    "test|retest|left|right|l|r|od|os|[a-d]|links|rechts|oben|unten|gauche|droite?|derech[oa]|izquierd[oa]"
    "|der|izq"
    "|[234]ch|a[2345]c|cc|mlo|ml|lm|lcc|rcc|lmlo|rmlo|ap|pa|lat|lateral|axial|sagittal|coronal|frontal"
)
WEAK = re.compile(
    rf"[_\-. ](?:{MOMENT}|(?:{NUMBERED})[_\-. ]?\d+|follow[_\-]?up[_\-]?\d+|tile(?:[_\-]?\d+){{1,2}}|{PLAIN}"
    rf"|{DATE}{TIME}?(?:[_\-. ][^\W\d_]+)?|t1w?|t2w?|flair|pd|dwi|adc|ct|mr|mri|pet)$"
    rf"|{MOMENT_GLUED}$|\s*\[[^\]]*\]$",
    re.IGNORECASE,
)
# Words for images in general, for places in a body, and for controls, who may be people. They also count
# images of sites and batches.
GENERAL = re.compile(
    r"[_\-. ](?:img|image|imag|imagen|im|pic|pict|picture|photo|foto|fotograf[ií]a|photograph|bild|shot"
    r"|snapshot|capture|captura|frame|still|standbild|film|take|toma|prise|record|recording|enregistrement"
    r"|exposure|view|ansicht|vue|vista|clich[eé]|section|schnitt|coupe|corte|cut|slide|layer|schicht|plane"
    r"|ebene|plan|plano|level|stufe|page|part|teil|partie|parte|spot|stelle|zone|zona|area|bereich"
    r"|lesion|l[aä]sion|l[eé]sion|lesi[oó]n|nodule|knoten|nodulo|nódulo|polyp|polype|polipo|pólipo"
    r"|block|core|biopsy|biopsie|biopsia|sample|probe|muestra|echantillon|échantillon|rep|replicate|nr|no"
    r"|num|number|nummer|control|contr[oô]le|kontrolle|durchgang|lauf|re|li)[_\-. ]?\(?\d*\)?[a-d]?$",
    re.IGNORECASE,
)
VIEW = r"(?:left|right|l|r|od|os|cc|mlo|ml|lm|lcc|rcc|lmlo|rmlo|ap|pa|lat|axial|sagittal|coronal)"
FRONT = (
    re.compile(  # a date or a side before the patient; a number before views alone is the patient
        rf"^(?:{DATE}{TIME}?[_\-. ]+(?!{VIEW}(?:[_\-. ]{VIEW})*$)"
        rf"|(?:left|right|{MOMENT_FIRST})[_\-. ]+(?=\w*\d))(?=.)",
        re.IGNORECASE,
    )
)
DAY = re.compile(DATE)
SIDE = re.compile(r"(?<=\d)[LR]$")  # 01L and 01R


def is_ending(word: str) -> bool:
    """Whether a word, such as the name of a folder, says nothing but a visit, a view or a kind of image."""
    return without_endings(f"_ _{word}", general=True) == "_ "


def without_endings(name: str, general: bool = False) -> str:
    """``name`` without all endings.

    Args:
        name: the name of an image or of its folder.
        general: also without words such as ``image3``.
    """
    while True:
        shorter = WEAK.sub("", ENDINGS.sub("", name))
        if general:
            shorter = GENERAL.sub("", shorter)
        shorter = FRONT.sub("", SIDE.sub("", shorter))
        if shorter == name or not shorter:
            return name
        name = shorter
