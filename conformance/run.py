# Runs one suite of eclipse/paho.mqtt.testing as it is, against host:port, and
# writes one JSON object a test to the file named last. The suites' own command
# lines differ and one of them can't take a port, so they are imported and given
# here what their command lines would set.
import importlib, json, logging, signal, sys, time, traceback, unittest, warnings

folder, name, host, port, report = sys.argv[1:6]
sys.path.insert(0, folder)
suite = importlib.import_module(name)
suite.host, suite.port = host, int(port)
suite.topic_prefix = name + "/"
suite.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
suite.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
suite.nosubscribe_topics = ("test/nosubscribe",)
logging.getLogger().setLevel(logging.ERROR)
warnings.simplefilter("ignore")  # some tests return a value

# Two tests publish from one client while the SUBSCRIBE of the other is still on
# its way: they wait for the wrong SUBACK. So each SUBSCRIBE gets a little time.
subscribe = suite.mqtt_client.Client.subscribe


def subscribe_and_wait(*args, **named):
    answer = subscribe(*args, **named)
    time.sleep(0.2)
    return answer


suite.mqtt_client.Client.subscribe = subscribe_and_wait


class Result(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out

    # A test that waits for what never comes gives up. Some catch every error and
    # wait on, so it is told again each second.
    def startTest(self, test):
        signal.setitimer(signal.ITIMER_REAL, 120, 1)

    def stopTest(self, test):
        signal.setitimer(signal.ITIMER_REAL, 0)

    def tell(self, test, passed, error=None):
        line = {"test": getattr(test, "_testMethodName", str(test)), "passed": passed}
        if error:
            line["error"] = traceback.format_exception_only(error[0], error[1])[-1].splitlines()[0]
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()

    def addSuccess(self, test):
        self.tell(test, True)

    def addFailure(self, test, error):
        self.tell(test, False, error)

    addError = addFailure


def give_up(*_):
    raise TimeoutError("no end after two minutes")


signal.signal(signal.SIGALRM, give_up)
with open(report, "w") as out:
    unittest.defaultTestLoader.loadTestsFromModule(suite).run(Result(out))
