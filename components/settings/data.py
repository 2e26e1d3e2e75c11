"""The section ``data``: which bins a run looks at."""

from typing import Annotated

from pydantic import Field, model_validator

from components.settings.counts import parse_counts, parse_extra_counts
from components.settings.section import Section, checked_by
from components.settings.source import KINDS, check_endpoint, check_file_list, check_source, is_rendered


class DataSettings(Section):
    """Which bins a run takes from which source; each option is a parameter of the pipeline."""

    source: Annotated[str, checked_by(check_source)] = Field(
        "rendered", description=f"Bin photos: {KINDS.replace(' or a', ', or a')}.", json_schema_extra={"allowed": KINDS}
    )
    counts: Annotated[str, checked_by(parse_counts)] = Field(
        "1-5",
        description="Item counts to learn, such as 1-5 or 0-8.",
        json_schema_extra={"allowed": "a range or list of counts"},
    )
    open_top: bool = Field(False, description='Let the largest count mean "that many or more".')
    extra_counts: str = Field(
        "auto",
        description="Further counts that only training sees, such as 0,6-8+; auto takes the neighbours of real photos.",
        json_schema_extra={"allowed": "auto, nothing, or other counts than counts names"},
    )
    limit_per_count: int = Field(
        0, ge=0, le=1_000_000_000, description="At most this many bins of each count; 0 takes all."
    )
    file_list: Annotated[str, checked_by(check_file_list)] = Field(
        "",
        description="A published file_list.json that names the bins of each count; empty takes the source's own.",
        json_schema_extra={"allowed": "a path or s3://…"},
    )
    source_endpoint: str = Field(
        "",
        description="S3 endpoint of the source, such as https://host:port; empty uses the object store's, then AWS.",
        json_schema_extra={"allowed": "http://… or https://host:port"},
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "DataSettings":
        check_endpoint(self.source_endpoint, self.source)
        parse_extra_counts(self.extra_counts, self.answered, self.open_top)
        return self

    @property
    def answered(self) -> list[int]:
        """The counts that the model will answer, ascending."""
        return parse_counts(self.counts)

    @property
    def trained_only(self) -> tuple[list[int], bool]:
        """Further counts that only training sees, and whether the last one means that many or more.

        ``auto`` means none where a list says which bins to take, and for drawn bins, which cost nothing to draw.
        """
        none = self.extra_counts == "auto" and (self.file_list or is_rendered(self.source))
        return parse_extra_counts("" if none else self.extra_counts, self.answered, self.open_top)
