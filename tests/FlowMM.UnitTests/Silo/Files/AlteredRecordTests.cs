using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.Abstractions;
using FlowMM.Gateway.Requests;
using FlowMM.Silo.Files;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;
using Google.Protobuf;
using Xunit;
using static FlowMM.UnitTests.Silo.Files.Transcripts;

namespace FlowMM.UnitTests.Silo.Files;

/// <summary>Records that lack a member or hold another value there: each is refused, or makes a session that can be stored, listed and gone on with.</summary>
public sealed class AlteredRecordTests
{
    private const string Place = "\"@\"";

    /// <summary>What stands where something else should; empty: the member is missing.</summary>
    public static TheoryData<string> Values { get; } = ["", "null", "{}", "[]", "[{}]", "[null]", "\"\"", "\"\\ud800\"", "-1", "1e999", "true"];

    [Theory]
    [MemberData(nameof(Values))]
    public async Task Read_AnyMemberOfTheHeadAltered_IsRefusedOrCanBeUsed(string value)
    {
        SessionRecord session = Session();
        byte[] head = JsonSerializer.SerializeToUtf8Bytes(Head(session), FileJson.Default.SessionFileHead);
        foreach ((string member, byte[] altered) in Altered(head, value))
        {
            await Check(member, Craft(altered, Records(session), Shape));
        }
    }

    [Theory]
    [MemberData(nameof(Values))]
    public async Task Read_AnyMemberOfATurnAltered_IsRefusedOrCanBeUsed(string value)
    {
        SessionRecord session = Session();
        byte[][] records = Records(session);
        for (int turn = 0; turn < records.Length; turn++)
        {
            foreach ((string member, byte[] altered) in Altered(records[turn], value))
            {
                await Check(member, Craft(Head(session), [.. records[..turn], altered, .. records[(turn + 1)..]], Shape));
            }
        }
    }

    /// <summary>Turns with every member that a turn can have.</summary>
    private static SessionRecord Session()
    {
        SessionRecord session = Sample();
        TurnRecord first = session.Turns[0];
        LayerReport layer = new() { RhoRaw = 0.1, Rho = 0.2, Lift = 1, InterModal = true, Kept = 3, Merged = 1.5, DroppedMass = 0 };
        CompressionReport report = new() { Method = "flowmm", BytesBefore = 2, BytesAfter = 1, Ms = 1, Layers = [layer] };
        return session with { Turns = [first with { Turn = first.Turn with { Compression = report } }, .. session.Turns.Skip(1)] };
    }

    private static async Task Check(string member, byte[] file)
    {
        try
        {
            (SessionRecord session, _) = await Read(file);
            Told(session);
            ResponseWriter.Session(SessionInfos.Of(new SessionKey("tenant", "session"), session, default)).ToByteArray();
            Assert.All(session.Turns, t => ResponseWriter.Turn(t.Turn).ToByteArray());
            Transcripts.Conversation.Accept(session, new() { TurnId = "next", Parts = [Text("And then?")] });
        }
        catch (RefusedException refused)
        {
            Assert.True(refused.Code is ErrorCode.InvalidArgument or ErrorCode.DataLoss, $"{member}: {refused.Message}");
        }
        catch (Exception error)
        {
            Assert.Fail($"{member}: {error}");
        }
    }

    /// <summary>A record once for each of its members, with another value there.</summary>
    private static IEnumerable<(string Member, byte[] Json)> Altered(byte[] json, string value)
    {
        JsonNode root = JsonNode.Parse(json)!;
        foreach (JsonObject parent in Objects(root).ToArray())
        {
            foreach ((string name, JsonNode? node) in parent.ToArray())
            {
                string member = $"{parent.GetPath()}.{name}";
                parent.Remove(name);
                if (value.Length > 0)
                {
                    parent[name] = "@";
                }

                yield return (member, Encoding.UTF8.GetBytes(root.ToJsonString().Replace(Place, value, StringComparison.Ordinal)));
                parent[name] = node;
            }
        }
    }

    private static IEnumerable<JsonObject> Objects(JsonNode? node) => node switch
    {
        JsonObject found => [found, .. found.SelectMany(m => Objects(m.Value))],
        JsonArray list => list.SelectMany(Objects),
        _ => [],
    };
}
