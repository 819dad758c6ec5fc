from pathlib import Path

from harness.builds.cmake_model import SourceGroup
from harness.builds.unity import Names, UnityPlanner, cmake_text, divide


def group(directory: Path, sources: dict[str, str], target: str = "t") -> SourceGroup:
    for name, text in sources.items():
        (directory / name).write_text(text, encoding="utf-8")
    return SourceGroup(
        target=target,
        language="CXX",
        include_directories=(),
        sources=tuple(directory / name for name in sources),
    )


def test_every_source_is_in_exactly_one_unit_of_its_group(tmp_path: Path) -> None:
    groups = [
        group(tmp_path, {f"a{n}.cpp": f"int a{n};\n" * 2000 * n for n in range(12)}, "a"),
        group(tmp_path, {f"b{n}.cpp": "int b;\n" for n in range(3)}, "b"),
    ]
    units = UnityPlanner(groups, jobs=2).plan()
    for each in groups:
        planned = [
            source for unit in units if unit.target == each.target for source in unit.sources
        ]
        assert sorted(planned) == sorted(each.sources)
    assert len({unit.name for unit in units}) == len(units)


def test_more_jobs_make_more_units(tmp_path: Path) -> None:
    big = group(tmp_path, {f"a{n}.cpp": f"int a{n};\n" * 20000 for n in range(64)})
    few, many = (len(UnityPlanner([big], jobs=jobs).plan()) for jobs in (2, 16))
    assert few < many


def test_sources_with_the_same_local_name_are_kept_apart(tmp_path: Path) -> None:
    units = UnityPlanner(
        [
            group(
                tmp_path,
                {
                    "a.cpp": "static int helper(int x) { return x; }\n",
                    "b.cpp": "static const char * helper(void) { return 0; }\n",
                    "c.cpp": "int c;\n",
                },
            )
        ],
        jobs=1,
    ).plan()
    assert len(units) == 2
    together = {frozenset(source.name for source in unit.sources) for unit in units}
    assert not any({"a.cpp", "b.cpp"} <= names for names in together)


def test_names_of_a_text() -> None:
    text = (
        "static const std::map<int, int> table = {\n"
        "static inline float dot(const float * x) {\n"
        "const vocab * context::get_vocab() const {\n"
        "struct state {\n"
        "struct forward;\n"
        "enum class kind : int {\n"
        "#define N_MAX 4\n"
        "#define NOMINMAX\n"
        "#if defined(WIDE) && N_WIDE > 2\n"
        "int exported(int x) {\n"
        "    static int inner = 0;\n"
    )
    names = Names.of(text)
    assert names.local == {"table", "dot", "state", "kind"}
    assert names.defined == {"N_MAX"}
    assert {"WIDE", "N_WIDE"} <= names.asked


def test_a_macro_that_another_source_asks_about_keeps_them_apart() -> None:
    defines = Names.of("#define LIMIT 4\n")
    also = Names.of("#define LIMIT 8\n")
    asks = Names.of("#ifndef LIMIT\n#define LIMIT 16\n#endif\n")
    assert not defines.clash(also)
    assert defines.clash(asks)
    assert asks.clash(defines)


def test_a_source_that_refuses_a_macro_is_kept_from_those_whose_headers_define_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "inner.h").write_text("#define INTERNAL\n", encoding="utf-8")
    (tmp_path / "outer.h").write_text('#include "inner.h"\n', encoding="utf-8")
    sources = {
        "a.cpp": '#include "outer.h"\n',
        "b.cpp": '#ifdef INTERNAL\n#error "not here"\n#endif\n',
        "c.cpp": "int c;\n",
    }
    for said in ("#ifdef INTERNAL", "#if defined(INTERNAL)", "#  if defined INTERNAL && X"):
        sources["b.cpp"] = f'{said}\n#error "not here"\n#endif\n'
        units = UnityPlanner([group(tmp_path, sources)], jobs=1).plan()
        together = [{source.name for source in unit.sources} for unit in units]
        assert not any({"a.cpp", "b.cpp"} <= names for names in together), said
        assert len(units) == 2


def test_sources_are_kept_apart_that_share_a_header_without_a_guard(tmp_path: Path) -> None:
    source = '#include "shared.h"\n'
    for text, count in (
        ("struct shared {\n    int x;\n};\n", 2),
        ("#pragma once\nstruct shared {\n    int x;\n};\n", 1),
        ("#ifndef SHARED\n#define SHARED\nstruct shared {\n    int x;\n};\n#endif\n", 1),
        ("int shared(void);\n", 1),
    ):
        (tmp_path / "shared.h").write_text(text, encoding="utf-8")
        sources = {"a.cpp": source, "b.cpp": source, "c.cpp": "int c;\n"}
        units = UnityPlanner([group(tmp_path, sources)], jobs=1).plan()
        assert len(units) == count, text


def test_a_name_that_stands_for_different_things_keeps_sources_apart() -> None:
    brought = Names.of("using far::json;\n")
    other = Names.of("using json = near_json;\n")
    same = Names.of("using  json =\n    far::json;\n")
    assert brought.clash(other)
    assert other.clash(same)
    assert not brought.clash(same)


def test_a_case_of_a_template_is_kept_from_its_uses() -> None:
    case = Names.of("template <>\nbool value::get<bool>() const { return true; }\n")
    uses = Names.of("bool f(const value & v) { return v.get<bool>(); }\n")
    own = Names.of("template <typename T> T zero() { return 0; }\ntemplate <> int zero() {}\n")
    assert case.specialised == {"value"}
    assert case.clash(uses)
    assert uses.clash(case)
    assert not own.clash(Names.of("int f() { return zero(); }\n"))
    constructor = Names.of("template <> model::graph<true>::graph(const int & x) {\n}\n")
    assert constructor.specialised == set()


def test_a_case_of_a_template_is_kept_from_those_whose_headers_mention_it(tmp_path: Path) -> None:
    (tmp_path / "alias.h").write_text("using json = value;\n", encoding="utf-8")
    sources = {
        "a.cpp": "template <>\nbool value::get<bool>() const { return true; }\n",
        "b.cpp": '#include "alias.h"\nbool f(const json & j) { return j.get<bool>(); }\n',
        "c.cpp": "int c;\n",
    }
    units = UnityPlanner([group(tmp_path, sources)], jobs=1).plan()
    together = [{source.name for source in unit.sources} for unit in units]
    assert not any({"a.cpp", "b.cpp"} <= names for names in together)
    assert len(units) == 2


def test_a_source_keeps_its_unit_when_others_change(tmp_path: Path) -> None:
    sources = {f"a{n}.cpp": f"int a{n};\n" * 20000 for n in range(40)}
    before = UnityPlanner([group(tmp_path, sources)], jobs=2).plan()
    sources["a7.cpp"] *= 2
    sources["a0_new.cpp"] = "int fresh;\n"
    after = UnityPlanner([group(tmp_path, sources)], jobs=2).plan()
    units = {unit.name: set(unit.sources) for unit in after}
    moved = [
        unit.name
        for unit in before
        if units[unit.name] - {tmp_path / "a0_new.cpp"} != set(unit.sources)
    ]
    assert moved == []
    assert len(before) > 4


def test_divide_takes_out_the_sources_that_the_errors_name(tmp_path: Path) -> None:
    names = ["a.cpp", "b.cpp", "c.cpp"]
    (unit,) = UnityPlanner([group(tmp_path, dict.fromkeys(names, "int x;\n"))], jobs=1).plan()
    parts = divide(unit, "b.cpp:1:5: error: redefinition of 'int x'\n", tmp_path)
    assert [[source.name for source in part.sources] for part in parts] == [
        ["a.cpp", "c.cpp"],
        ["b.cpp"],
    ]


def test_divide_halves_a_unit_when_the_errors_name_none_or_all(tmp_path: Path) -> None:
    names = ["a.cpp", "b.cpp", "c.cpp", "d.cpp"]
    (unit,) = UnityPlanner([group(tmp_path, dict.fromkeys(names, "int x;\n"))], jobs=1).plan()
    every = "".join(f"{name}:1:5: error: no\n" for name in names)
    for output in ("shared.h:1:1: error: no\n", every, "internal compiler error"):
        parts = divide(unit, output, tmp_path)
        assert [len(part.sources) for part in parts] == [2, 2]


def test_only_what_computes_is_optimised(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    llama = ("models/bert.cpp", "models/qwen.cpp", "llama-batch.cpp", "llama-vocab.cpp")
    groups = [
        *(
            group(tmp_path, {f"{target}.cpp": ""}, target)
            for target in ("ggml-cpu", "llama-common")
        ),
        group(tmp_path, dict.fromkeys(llama, ""), "llama"),
    ]
    units = UnityPlanner(groups, jobs=1).plan()
    assert {source.name: unit.light for unit in units for source in unit.sources} == {
        "ggml-cpu.cpp": False,
        "llama-common.cpp": True,
        "llama-batch.cpp": False,
        **dict.fromkeys(("bert.cpp", "qwen.cpp", "llama-vocab.cpp"), True),
    }
    told = [line for line in cmake_text(units, ("-O0",)).splitlines() if "-O0" in line]
    made = "${directory}/CMakeFiles/llama.dir/Unity/unity_llama-CXX-1_cxx.cxx"
    assert told == [
        f"set_source_files_properties({compiled} TARGET_DIRECTORY {target} PROPERTIES"
        ' COMPILE_OPTIONS "-O0")'
        for target, compiled in (
            ("llama", f'"{made}"'),
            ("llama-common", f"[[{(tmp_path / 'llama-common.cpp').as_posix()}]]"),
        )
    ]
