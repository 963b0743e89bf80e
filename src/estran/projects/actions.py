"""What may be asked for, named."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What may be asked for."""

    HOLDINGS = "holdings"  # totals of the site, loads and sources
    FEEDS = "feeds"  # health of the feeds, reasons of the quarantine, work under way: no value of any record
    OPERATE = "operate"  # have quarantine or a source read anew, or a load taken back
    CONCEPTS = "concepts"  # look a code up, with its number of patients
    COUNT = "count"  # how many patients a question selects, with its steps and breakdowns
    SEARCH = "search"  # how many documents and patients match words, and facets
    SNIPPETS = "snippets"  # the matching documents themselves
    DOCUMENT = "document"  # one de-identified document and its facts
    PATIENTS = "patients"  # pseudonymous numbers of the patients selected, and why
    TIMELINE = "timeline"  # everything about one pseudonymous patient
    SAVE = "save"  # save a version of a cohort
    OPEN = "open"  # open a saved cohort of one's own
    OPEN_OTHERS = "open-others"  # open a saved cohort of another person
    AUDIT = "audit"  # read the audit trail
    CARE = "care"  # open one patient's record for care, outside the perimeter, with a reason and for a while
    IDENTITY = "identity"  # read or change what the vault knows of who somebody is; where the key is, never at the portal
    SHARE = "share"  # open a saved cohort of one's own to a colleague or a role
    FOLLOW = "follow"  # have a saved cohort of one's own asked again by the clock
    IMPORT = "import"  # have a list of patient numbers looked up and saved as a cohort
    SCREEN = "screen"  # be handed the names of patients of one's ward who answer a question, by the key holder
    ORIGINAL = "original"  # one document as it came, with the names in it, for care, with a reason
    REVIEW = "review"  # read and judge the patients of a review list that one was given, and no others
    ANNOTATE = "annotate"  # mark the texts of the patients that one was given
    ADJUDICATE = "adjudicate"  # settle what two reviewers of a list said differently, where one is named for it
    REVIEW_LISTS = "review-lists"  # make review lists of a cohort, give them out, see progress and agreement
    REVIEW_EXPORT = "review-export"  # take the records of a review out: marked texts, filled forms
    CATALOGUE = "catalogue"  # what is held of each table, kind of document and variable; results of the quality checks
    NOTES = "notes"  # write a known problem of the data down, or close it
    FAILURES = "failures"  # the rows behind a failed check or a monthly figure
    RECONCILE = "reconcile"  # official monthly figures beside those of the warehouse
    STEERING = "steering"  # occupancy, length of stay, readmissions, ways through the hospital
    RIGHTS = "rights"  # rights of patients: requests, oppositions, consents, erasures, who must still obey
    FIND_PERSON = "find-person"  # have a person found by hospital number, by the process that holds the key
    IDENTITIES = "identities"  # write names and addresses of patients, for the letters of the care side
    REGISTRY = "registry"  # the registry sheet, and what the running configuration meets of the reference framework
    ACCOUNT = "account"  # one's own account: password, second factor, passkeys, sessions, API tokens
    ACCOUNTS = "accounts"  # other people's accounts: create, change, disable, reset, end sessions
    DATAMARTS = "datamarts"  # see a datamart: what it holds, for whom, until when
    BUILD_DATAMART = "build-datamart"  # have a datamart built, refreshed, proved, traced or destroyed
    EXPORT = "export"  # write the whole site, or the datamart of a project, in a foreign format
    WORKSPACE = "workspace"  # the workspace of one's project: start, stop, work in it
    PROVIDE = "provide"  # give a project's team its workspace and datamart
    HAND_IN = "hand-in"  # ask that files leave the workspace of one's project, and fetch those released to oneself
    RELEASE = "release"  # look at files that ask to leave the workspace of a project of others, and decide
    PROJECTS = "projects"  # see a project: its team, those who handle it, those called to judge it
    PROPOSE = "propose"  # propose a project, and take the steps of its team
    CONSULT = "consult"  # advise on a project of others
    JUDGE = "judge"  # give an opinion or a vote that one was called for
    PRESIDE = "preside"  # conclude a session of the committee that one presides
    ASK_HUB = "ask-hub"  # put a question to the sites of the network that this hub joins, and see what they answer
    RUN_HUB = "run-hub"  # invite sites to the network, take them out of it, see what their agents said
    HUB_COUNT = "hub-count"  # as a hub: have a question counted by this site, for the network
    HUB_LINK = "hub-link"  # as a hub: have the patients of a question made tokens of, for the linkage unit of the network
    HUB_CATALOGUE = "hub-catalogue"  # as a hub: be told what this site holds, in protected counts
    HUB_STATISTICS = "hub-statistics"  # as a hub: have this site's part of a statistic computed, under a mask
    POOLS = "pools"  # see a pool of several sites for a project: who sent, how the sites differ
    RUN_POOLS = "run-pools"  # ask sites for a pool, take what they send, put it together, destroy it
    HUB_POOL = "hub-pool"  # as a hub: be sent the datamart of an open project by this site, re-keyed and sealed
    RUN_PROJECTS = "run-projects"  # handle projects of others: pre-select, call, file pieces, open, close
    OWN_DATA = "own-data"  # declare data that a project of one's own brings, with its legal ground
    TAKE_DATA = "take-data"  # accept the data that a project of others brings, read its files, see which lines were set aside
