# Dependencies found once, and the two kinds of target of this project.

find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Protobuf REQUIRED)  # the module, before gRPC: Debian ships no Protobuf config
find_package(Boost 1.81 REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(RocksDB CONFIG REQUIRED)
find_package(GTest CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog CONFIG REQUIRED)
if(NOT ASSENT_CORE_ONLY)
  find_package(gRPC CONFIG REQUIRED)
  find_package(benchmark CONFIG REQUIRED)
endif()

add_library(assent_options INTERFACE)
target_include_directories(assent_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
# Designated initializers leave fields at their defaults on purpose, and g++ 12 takes a moved absl::InlinedVector for
# uninitialized.
target_compile_options(assent_options INTERFACE
  -Wall -Wextra -Wpedantic -Wno-missing-field-initializers -Wno-uninitialized -Werror=switch -Werror=return-type -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
if(ASSENT_SANITIZE)
  # For every target, generated code too: Protobuf's maps have another layout under ThreadSanitizer.
  add_compile_options(-fsanitize=${ASSENT_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${ASSENT_SANITIZE})
  add_compile_definitions(
    ASSENT_SANITIZED     # for tests that do less where each step takes longer
    GTEST_HAS_PTHREAD=1) # as GTest::gtest says, for all that share precompiled headers
endif()

# A third less to compile, with clang. Not for release, which shows that each file includes what it needs.
function(assent_share_precompiled_headers target)
  if(ASSENT_SANITIZE AND NOT target STREQUAL assent_base)
    target_precompile_headers(${target} REUSE_FROM assent_base)
  endif()
endfunction()

# assent_library(NAME [INSTALLED] SOURCES … DEPS …): a static library of this project.
function(assent_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC $<BUILD_INTERFACE:assent_options> ${ARG_DEPS})
  if(ASSENT_SANITIZE)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)  # built where a test links it
  endif()
  assent_share_precompiled_headers(${name})
endfunction()

# assent_test(NAME LABEL unit|contract|… SOURCES … DEPS … [FIXTURE servers] [COST SECONDS]): a gtest program, one
# ctest test in all. Of COST, given where it takes long, it is started before what takes less. With FIXTURE servers it finds a PostgreSQL and a Kafka broker of this build folder's own in the
# environment (ASSENT_TEST_POSTGRES, ASSENT_TEST_KAFKA, …: deploy/local.sh --help). They are shared by the tests of the
# folder: a test chooses names that no other one has, and changes nothing that is the server's as a whole.
function(assent_test name)
  cmake_parse_arguments(ARG "" "LABEL;FIXTURE;COST" "SOURCES;DEPS;ARGS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:assent_options> ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  assent_share_precompiled_headers(${name})
  foreach(source ${ARG_SOURCES})
    set_property(GLOBAL APPEND PROPERTY ASSENT_REGISTERED_TESTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  endforeach()
  # Only ends what hangs: the longest takes a minute, and a busy machine is no failure.
  set(timeout 300)
  set(environment "")
  if(ARG_FIXTURE)
    set(environment ${ASSENT_LOCAL_SERVERS} run --dir ${PROJECT_BINARY_DIR}/servers --)
  endif()
  add_test(NAME ${name} COMMAND ${environment} $<TARGET_FILE:${name}> ${ARG_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${timeout})
  if(ARG_FIXTURE)
    set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED ${ARG_FIXTURE})
  endif()
  if(ARG_COST)
    set_tests_properties(${name} PROPERTIES COST ${ARG_COST})
  endif()
endfunction()

set(ASSENT_LOCAL_SERVERS ${PROJECT_SOURCE_DIR}/deploy/local.sh)

# assent_fuzz_target(NAME DEPS …): a libFuzzer program out of NAME.cc. Its corpus is corpus/NAME.
function(assent_fuzz_target name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  add_executable(${name} ${name}.cc)
  target_link_libraries(${name} PRIVATE assent_options ${ARG_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  assent_share_precompiled_headers(${name})
endfunction()

# A fixture of servers: started before the first test that needs it, destroyed after the last one, or when ctest ends
# otherwise. Several ctest runs in one build folder share them. `kafka` as ASSENT_KAFKA_VERSION, empty for the pinned one.
function(assent_servers_fixture fixture kafka)
  set(folder --hold --dir ${PROJECT_BINARY_DIR}/${fixture})
  add_test(NAME ${fixture}_up COMMAND ${ASSENT_LOCAL_SERVERS} up ${folder})
  add_test(NAME ${fixture}_down COMMAND ${ASSENT_LOCAL_SERVERS} down ${folder})
  set_tests_properties(${fixture}_up PROPERTIES FIXTURES_SETUP ${fixture} TIMEOUT 180)
  set_tests_properties(${fixture}_down PROPERTIES FIXTURES_CLEANUP ${fixture} TIMEOUT 60)
  set_tests_properties(${fixture}_up ${fixture}_down PROPERTIES ENVIRONMENT "ASSENT_KAFKA_VERSION=${kafka}")
endfunction()

# assent_test_on_previous_kafka(NAME LABEL … [SERIAL] [ARGS …]): a test that is there already, once more on the fixture
# servers_previous, whose broker is the last one without transactions V2. SERIAL: alone on the machine.
function(assent_test_on_previous_kafka name)
  cmake_parse_arguments(ARG "SERIAL" "LABEL" "ARGS" ${ARGN})
  set(test ${name}_on_previous_kafka)
  add_test(NAME ${test} COMMAND ${ASSENT_LOCAL_SERVERS} run --dir ${PROJECT_BINARY_DIR}/servers_previous --
    $<TARGET_FILE:${name}> ${ARG_ARGS})
  set_tests_properties(${test} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT 300 RUN_SERIAL ${ARG_SERIAL}
    FIXTURES_REQUIRED servers_previous ENVIRONMENT "ASSENT_KAFKA_VERSION=previous")
endfunction()

# Fails the configuration where a *_test.cc exists that no assent_test names: a test that nobody runs is worse than none.
function(assent_check_every_test_is_registered)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/*_test.cc)
  get_property(registered GLOBAL PROPERTY ASSENT_REGISTERED_TESTS)
  get_property(excused GLOBAL PROPERTY ASSENT_TESTS_OF_OTHER_BUILDS)
  foreach(file ${found})
    if(NOT file IN_LIST registered AND NOT file IN_LIST excused)
      message(FATAL_ERROR "${file} is a test that no assent_test() names: add it to the CMakeLists.txt beside it")
    endif()
  endforeach()
endfunction()
