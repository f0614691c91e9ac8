using System.Text.Json;
using System.Text.Json.Serialization;
using FlowMM.Abstractions;

namespace FlowMM.Silo.Store;

/// <summary>The stored form of records: JSON by generated code, which can only make these types.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UseStringEnumConverter = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SessionSpec))]
[JsonSerializable(typeof(SamplingOptions))]
[JsonSerializable(typeof(MergingOptions))]
[JsonSerializable(typeof(AcceptedTurn))]
[JsonSerializable(typeof(TurnRecord))]
internal sealed partial class RecordJson : JsonSerializerContext;
