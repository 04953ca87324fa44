"""A format with a few fields under names of its own."""

from loadgen import Field, Format, Page, Source

TRACK_PAGES = (Page.NEXT_SONG, Page.THUMBS_UP, Page.THUMBS_DOWN, Page.ADD_TO_PLAYLIST)
VISITS = Format(
    "visits",
    (
        Field("ts", Source.TIME_MS),
        Field("visitor", Source.USER_ID),
        Field("visit", Source.SESSION_ID),
        Field("step", Source.ITEM),
        Field("what", Source.ACTION),
        Field("where", Source.COUNTRY),
        Field("tune", Source.TITLE, TRACK_PAGES),
        Field("popularity", Source.POPULARITY, TRACK_PAGES),
        Field("nick", Source.USER_NAME, (Page.HOME,)),
        Field("style", Source.GENRE),
        Field("years", Source.AGE, (Page.SEARCH, Page.HOME)),
        Field("visits_left", Source.ITEM, (Page.LOGOUT,)),
        Field("seconds", Source.LENGTH),
    ),
)
