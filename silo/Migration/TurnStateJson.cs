using System.Text.Json.Serialization;
using FlowMM.Engine;

namespace FlowMM.Silo.Migration;

/// <summary>A frozen turn on its way: JSON by generated code, which can only make these types.</summary>
[JsonSourceGenerationOptions(
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    IncludeFields = true,
    RespectNullableAnnotations = true,
    UseStringEnumConverter = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(TurnProgress))]
internal sealed partial class TurnStateJson : JsonSerializerContext;
