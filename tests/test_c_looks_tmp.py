import pytest, os
from datetime import timedelta
from ciduty import clock
from ciduty.outbox.models import Incoming, Mail
from ciduty.people.roles import Role
from downtimes.models import CheckLink, Item
from downtimes.run import working, steering
from tests import run_stage, downtime_stage
from tests.cast import browser_of
from tests.running_demo import violations, AXE

pytestmark = [pytest.mark.browser]

@pytest.mark.django_db(transaction=True)
def test_looks(live_server, browser, people, settings):
    run_stage.morning()
    CheckLink.objects.create(label="Pending jobs", address="https://monitor.example.com/pending", phase="before", what_is_normal="under 2,000 in each pool")
    CheckLink.objects.create(label="Treeherder", address="https://treeherder.example.com/", phase="after", what_is_normal="pushes of the last minutes")
    settings.SITE_URL = live_server.url
    client = browser_of(people[Role.DUTY])
    context = browser.new_context(bypass_csp=False, reduced_motion="reduce")
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value, "url": live_server.url}])
    context2 = browser.new_context(bypass_csp=True, reduced_motion="reduce")
    context2.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value, "url": live_server.url}])
    page = context.new_page()
    axe_page = context2.new_page()
    told = []
    page.on("console", lambda m: told.append(m.text))

    def look(name, d, path="run/", unfold=False):
        for width, scheme in ((1280, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)
            page.goto(f"{live_server.url}/downtimes/{d.pk}/{path}")
            if unfold: page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            page.screenshot(path=f"/tmp/shots-c/{name}-{width}-{scheme}.png", full_page=True)
            if width == 390:
                high = page.evaluate("document.documentElement.scrollHeight")
                for part in range(0, min(high, 6000), 1500):
                    page.screenshot(path=f"/tmp/shots-c/{name}-part{part // 1500}.png", full_page=True, clip={"x": 0, "y": part, "width": 390, "height": min(1500, high - part)})
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width: told.append(f"{name} {wide} wide on {width}")
        for scheme, width in (("light", 1280), ("dark", 390)):
            axe_page.emulate_media(color_scheme=scheme); axe_page.set_viewport_size({"width": width, "height": 844})
            axe_page.goto(f"{live_server.url}/downtimes/{d.pk}/{path}")
            axe_page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            told.extend(violations(axe_page))

    with run_stage.trees_kept(settings, "link") as sandbox:
        d = downtime_stage.plan(people, sheriff="Sheriff of the day", tracking_bug=1400042, title="New load balancer for hg")
        for text in ("Move puppet masters to the new rack; reconfigs wait.", "Reboot the signing servers."):
            downtime_stage.add_work(d, public_text=text, steps="1. Stop the service.\n2. Move it.\n3. Start it, look.", rollback="Move it back.", minutes=25)
        v = downtime_stage.everybody_approves(d, people[Role.LEAD])
        from downtimes import announcing
        announcing.announce(d, by=people[Role.DUTY], version=v.number)
        run_stage.accepted(d)
        d.refresh_from_db()
        mail = Mail.objects.filter(about=d.about).first()
        clock.move(d.starts_at - clock.now() - timedelta(minutes=12))
        Incoming.objects.create(kind="reply", mail=mail, sha256="x", sender="developer@example.com", subject="Re: [Downtime] load balancer", text="We release on that day. Can it wait until Monday?", received_at=clock.now())
        run_stage.read()
        #look("1-before", d)
        clock.move(timedelta(minutes=12, seconds=1)); run_stage.read()
        steering.do_step(d, "replies read", "One asks for Monday; the release moved.", by=d.duty)
        steering.do_step(d, "sheriff told", "Sheriff of the day", by=d.duty)
        from downtimes.run import beginning
        beginning.begin(d, by=d.duty)
        #look("2-begun", d)
        run_stage.close(d, sandbox)
        items = list(d.items.all())
        working.do(items[0], "start", by=d.duty)
        clock.move(timedelta(minutes=41)); run_stage.read()
        working.do(items[0], "land", by=d.duty, words="All masters answer.")
        working.do(items[1], "start", by=d.duty)
        clock.move(timedelta(minutes=70)); run_stage.sheriff(sandbox, "mozilla-central", "open", "", []); run_stage.read()
        #look("3-running", d)
        clock.move(timedelta(minutes=80)); run_stage.read()
        #look("4-overdue", d, unfold=True)
        page.set_viewport_size({"width": 800, "height": 900}); page.emulate_media(color_scheme="light", media="print")
        page.screenshot(path="/tmp/shots-c/4-print.png", full_page=True)
        page.emulate_media(media="screen")
        #look("5-saved", d, "run/saved/?print")
        working.do(items[1], "roll back", by=d.duty, words="The new rack has no power yet.")
        working.do(items[2], "leave", by=d.duty, words="No time was left.")
        #look("6-bugs", d, "run/bugs/")
        #look("7-letter", d, "run/tree-open/")
        page.set_viewport_size({"width": 1280, "height": 844})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{live_server.url}/downtimes/{d.pk}/run/")
        page.locator("button[data-copy='#reason']").click()
        print("COPY", page.locator("#copied").inner_text(), page.evaluate("navigator.clipboard.readText()"))
        page.locator("#step-checked").fill("typed and not sent")
        working.do(items[2], "take back", by=people[Role.LEAD])
        page.get_by_text("Somebody went on").wait_for(timeout=15000)
        print("LIVE", page.locator("#live").inner_text()[:300], "|", page.locator("#step-checked").input_value())
        page.screenshot(path="/tmp/shots-c/8-live.png")
    print("\n".join(told))
