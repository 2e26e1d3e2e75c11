"""The section ``data``: which bins a run looks at."""

from pydantic import Field, field_validator, model_validator

from components.common.errors import InventoryError
from components.settings.counts import parse_counts, parse_extra_counts
from components.settings.section import Section
from components.settings.source import KINDS, S3, check_endpoint, check_source, is_rendered


class DataSettings(Section):
    """Which bins a run takes from which source; each option is a parameter of the pipeline."""

    source: str = Field(
        "rendered", description=f"Bin photos: {KINDS.replace(' or a', ', or a')}.", json_schema_extra={"allowed": KINDS}
    )
    counts: str = Field(
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
    file_list: str = Field(
        "",
        description="A published file_list.json that names the bins of each count; empty takes the source's own.",
        json_schema_extra={"allowed": "a path or s3://…"},
    )
    source_endpoint: str = Field(
        "",
        description="S3 endpoint of the source, such as https://host:port; empty uses the object store's, then AWS.",
        json_schema_extra={"allowed": "http://… or https://host:port"},
    )

    @field_validator("source")
    @classmethod
    def _is_an_address(cls, source: str) -> str:
        check_source(source)
        return source

    @field_validator("counts")
    @classmethod
    def _are_counts(cls, counts: str) -> str:
        parse_counts(counts)
        return counts

    @field_validator("file_list")
    @classmethod
    def _is_a_file(cls, file_list: str) -> str:
        if "://" in file_list and not file_list.startswith(S3):
            raise InventoryError(f"the file_list '{file_list}' cannot be read; give a path or s3://…")
        return file_list

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
